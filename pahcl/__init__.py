"""Pretrain encoders on cardiac signals, transfer them, and show what they are worth."""

__version__ = "0.1.0"
