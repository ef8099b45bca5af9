"""What is known of a problem before it is trained.

Curvature, least loss, noise floor, the best constant prediction: one question a file.
It may import gdcli/engine's data and plan.
"""
