"""Pictures from arrays: image grids, moving ones, codes, training curves. No model and no device is known here.

Every function returns the finished picture as uint8 [H', W', 3]; `write_png` and `write_gif` put them on disk.
"""

from jaxgen.plotting.gifs import ping_pong as ping_pong
from jaxgen.plotting.gifs import write_gif as write_gif
from jaxgen.plotting.grids import Picture as Picture
from jaxgen.plotting.grids import add_title as add_title
from jaxgen.plotting.grids import image_grid as image_grid
from jaxgen.plotting.grids import labeled_grid as labeled_grid
from jaxgen.plotting.grids import labeled_rows as labeled_rows
from jaxgen.plotting.grids import reconstruction_pairs as reconstruction_pairs
from jaxgen.plotting.grids import style_grid as style_grid
from jaxgen.plotting.grids import tile_images as tile_images
from jaxgen.plotting.grids import write_png as write_png
from jaxgen.plotting.plots import PALETTE as PALETTE
from jaxgen.plotting.plots import PRIOR_GRAY as PRIOR_GRAY
from jaxgen.plotting.plots import new_figure as new_figure
from jaxgen.plotting.plots import plot_codes_by_label as plot_codes_by_label
from jaxgen.plotting.plots import plot_codes_vs_prior as plot_codes_vs_prior
from jaxgen.plotting.plots import render_figure as render_figure
from jaxgen.plotting.plots import training_curves as training_curves
