"""Coffee: a typed REST framework. Declare an Entry, an Entity and your rules; the rest follows from their types."""
