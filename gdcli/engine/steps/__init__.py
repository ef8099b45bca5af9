"""How the steps between two recorded points are taken.

One by one, or fused where that is exact: one file a way, and the choice among them.
It may import gdcli/engine's programs and update.
"""
