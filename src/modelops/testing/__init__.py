"""Contract suites that we ship: a third party's implementation runs them too.

A suite is a class of tests for pytest; subclass it and say how your part is made.
"""
