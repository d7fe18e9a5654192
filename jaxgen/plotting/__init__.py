"""Figures from arrays: image grids, GIFs, plots of codes and training curves; independent of models and devices.

Every plotting function returns uint8 [H', W', 3]; `encode_png` and `encode_gif` return the bytes of a file.
"""

from jaxgen.plotting.captions import Picture as Picture
from jaxgen.plotting.captions import add_title as add_title
from jaxgen.plotting.captions import name_axes as name_axes
from jaxgen.plotting.curves import training_curves as training_curves
from jaxgen.plotting.gifs import encode_gif as encode_gif
from jaxgen.plotting.gifs import ping_pong as ping_pong
from jaxgen.plotting.grids import encode_png as encode_png
from jaxgen.plotting.grids import image_grid as image_grid
from jaxgen.plotting.grids import labeled_grid as labeled_grid
from jaxgen.plotting.grids import labeled_rows as labeled_rows
from jaxgen.plotting.grids import reconstruction_pairs as reconstruction_pairs
from jaxgen.plotting.grids import style_grid as style_grid
from jaxgen.plotting.grids import tile_images as tile_images
from jaxgen.plotting.plots import PALETTE as PALETTE
from jaxgen.plotting.plots import PRIOR_GRAY as PRIOR_GRAY
from jaxgen.plotting.plots import new_figure as new_figure
from jaxgen.plotting.plots import plot_codes_by_label as plot_codes_by_label
from jaxgen.plotting.plots import plot_codes_vs_prior as plot_codes_vs_prior
from jaxgen.plotting.plots import render_figure as render_figure
