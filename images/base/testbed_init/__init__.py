"""PID 1 of every container of a testbed: routes, processes, faults that fire on the clock, and an end that always comes.

Standard library only and few imports, because every container of a run starts through here.
"""
