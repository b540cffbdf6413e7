"""Headers of a FITS file, from raw bytes to JSON values. Most are read without astropy (docs/headers.md).

`raw_header` finds the size of each HDU. `plain_cards` reads the cards in the fixed format. `structural_cards` decides
whether astropy would show the cards that make an HDU as they stand. `parse` puts these together, and asks astropy about
the rest. `frame_header` is the result: a mapping of keywords to values.
"""
