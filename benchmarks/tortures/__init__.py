"""What torture.py does besides damaging files: each module is one of its tortures, `small` what they share."""
