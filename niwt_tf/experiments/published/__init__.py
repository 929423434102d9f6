"""The field's published figures on its own features, and ours beside them."""
