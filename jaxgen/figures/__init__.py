"""Pictures from arrays: image grids, moving ones, codes, training curves. No model and no device is known here.

Every function returns the finished picture as uint8 [H', W', 3]; `write_png` and `write_gif` put them on disk.
"""

from jaxgen.figures.gifs import there_and_back as there_and_back
from jaxgen.figures.gifs import write_gif as write_gif
from jaxgen.figures.grids import Picture as Picture
from jaxgen.figures.grids import captioned as captioned
from jaxgen.figures.grids import grid as grid
from jaxgen.figures.grids import marked_rows as marked_rows
from jaxgen.figures.grids import reconstruction_pairs as reconstruction_pairs
from jaxgen.figures.grids import style_grid as style_grid
from jaxgen.figures.grids import tiled as tiled
from jaxgen.figures.grids import titled as titled
from jaxgen.figures.grids import write_png as write_png
from jaxgen.figures.plots import PALETTE as PALETTE
from jaxgen.figures.plots import PRIOR_GREY as PRIOR_GREY
from jaxgen.figures.plots import code_scatter as code_scatter
from jaxgen.figures.plots import codes_against_prior as codes_against_prior
from jaxgen.figures.plots import curves as curves
from jaxgen.figures.plots import new_figure as new_figure
from jaxgen.figures.plots import render as render
