"""Who else computes this?  Adapters for other packages' recurrent networks, one module each.

A subject is named as `--subject peers.onnx_runtime:LSTM`; its package must be installed.
"""
