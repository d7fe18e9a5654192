"""Benchmarks of quality: tables of trained runs beside published or baseline results."""
