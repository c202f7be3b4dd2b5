"""What is made of a cut-out before it is written: framing, outline, shadow, colours, metadata, and presets of these.

Names are imported when first used, so that the table of options can be had without NumPy.
"""
