"""Data that earlier versions wrote, and that every later version has to open."""
