"""What can be learned from a run that is there: nothing here changes it.

`known_run` is what its journal holds, `run_code` its code, `stored_outputs` what its simulations
gave. With them a run is scored again (`rescoring`), simulated again (`replaying`), compared with
another (`run_comparison`) or with the truth (`recovery`), and looked at (`fits`, `hints`).
"""
