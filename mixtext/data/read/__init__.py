"""Reading: files, folders, packages and the hub in, a checked corpus out."""
