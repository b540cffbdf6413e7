"""From a file's bytes to its headers: read once, hashed, unpacked, checked."""
