"""Which class a name means.

Built-in names, plugins, users' files and classes, torch:NAME.
It may import the contracts (problem, optimizer, schedule) and what is below them.
"""
