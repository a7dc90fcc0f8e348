"""Never simulate the same thing twice: results of simulations in the object store.

A worker writes what a chunk of simulations gave as one segment (`segments` has the format, `store`
writes it) before it returns it; whoever submits simulations looks first in an index of the segments
that are there (`index`). `collection` removes what is old. `places` is where segments are: a folder
or an object store. Nothing here knows what an answer means.
"""
