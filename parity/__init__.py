"""Comparison with dghs-imgutils: the same questions to both tools, the answers side by side."""
