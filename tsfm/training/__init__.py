"""Training: the loop, the optimizer and the state that resumes it exactly."""
