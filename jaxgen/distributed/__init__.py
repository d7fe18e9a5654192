"""Devices and processes: the mesh and compilation over it, several processes of one run, and their launchers."""
