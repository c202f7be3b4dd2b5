"""What the machine gives: compiled kernels, threads, processes, measurements, ONNX sessions, plug-ins, options."""
