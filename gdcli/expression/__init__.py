"""A loss written as a formula: read safely, evaluated, and differentiated node by node."""
