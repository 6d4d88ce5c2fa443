"""Adapters for recurrent networks of other packages, one module for each package.

A subject is named as `--subject gatewise.peers.onnx_runtime:LSTM`; its package must be installed.
"""
