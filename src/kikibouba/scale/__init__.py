"""From one machine to a cluster: sweeps, and preparing, encoding and training on Ray.

Sweeps run on local processes with nothing but the core; what needs Ray (the extra `scale`) imports it when
it is called. Nothing outside this package imports Ray.
"""
