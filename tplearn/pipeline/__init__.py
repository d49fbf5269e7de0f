"""Layers as stages of torch.distributed.pipelining: the parts of a Llama, the schedules as data, and their bubble."""
