"""What a command looks into besides training a grid.

One folder a study, with all of it: computing, files, printing, page.
It may import report and everything below it.
"""
