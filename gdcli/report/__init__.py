"""How results are printed and drawn.

Tables, sentences and charts; its folders hold figures, pictures and the page.
It may import analysis, runs, studies and what is below them.
"""
