"""Many records at once: bulk writes, export and import, as parts that every resource shares."""
