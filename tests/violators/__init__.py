"""For each check of the conformance kit a component that violates it, beside one that keeps its contract."""
