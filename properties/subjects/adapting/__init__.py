"""Adapters: implementations with other names, layouts or calls than torch.nn's."""
