"""The balancer at work: kernel, health checks and the operator on one side, the data planes on the other."""
