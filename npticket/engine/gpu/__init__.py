"""Networks in lock-step on a GPU: the layers, with one kernel where their own code would launch many."""
