"""Networks of a few bits: what rounding their weights and activations does to them."""
