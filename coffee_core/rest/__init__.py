"""The six files that carry every module: Api -> Service -> Manager -> Dao -> DaoProvider, and the container."""
