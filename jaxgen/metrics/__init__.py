"""Metrics of images, codes and likelihoods: functions of arrays and callables that return numbers."""
