"""The observers that ship with ganbench, each an optional plugin: TensorBoard, comma-separated values, JSON lines.

They write below ``observers/`` in the results folder; what is there is derived from the records and can be deleted.
"""
