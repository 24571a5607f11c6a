/*
 * Where NVIDIA's libraries are. In the folder that MILLRACE_CUDA_LIBS names (--cuda-libs):
 * only there, in its PART/lib and in its nvidia/PART/lib, as Python's packages have them.
 * Without it: where the loader looks; where the plug-in was built; lib64 and lib of
 * $CUDA_HOME, $CUDA_PATH, /usr/local/cuda and /opt/cuda; then the nvidia packages of Python:
 * of $VIRTUAL_ENV, $CONDA_PREFIX, those python3 on PATH, ~/.local, /usr/local and /usr. Python
 * is not run.
 */
#ifndef DEV_CUDA_FIND_H
#define DEV_CUDA_FIND_H

/* Opens a library ("libcudnn.so.9"), "cuDNN 9" in words; built: the folder where the plug-in
 * was built, or "". It stays open. NULL: reason, with what was looked for and the remedy. */
void *library_open(const char *name, const char *words, const char *built);

/* The path of an open library; "" where it is not known. */
const char *library_path(void *handle);

#endif
