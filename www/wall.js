// The wall.
