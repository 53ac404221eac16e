"""Procedural pictures: what a prompt asks for, in a composition and palette chosen by prompt and seed.

`paint` in `composition` is the way in. Everything random is drawn from one generator, and nothing that is drawn
depends on the size of the picture, so that the same prompt and seed show the same picture at any size.
"""
