"""How results are printed and drawn.

Tables, sentences and charts; its folders hold figures, pictures, views and the page.
It may import analysis, runs and what is below them.
"""
