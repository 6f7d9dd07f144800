"""What DRBD says about itself, of every version and in every format, as one model; nothing here changes anything."""
