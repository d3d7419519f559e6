"""Character libraries: named characters with prototypes, in a portable file, and matching with them."""
