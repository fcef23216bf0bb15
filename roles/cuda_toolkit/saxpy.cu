// y = a * x + y, checked on the host: is there a compiler, a host compiler it accepts, a runtime and a GPU that obeys?
#include <cstdio>

__global__ void saxpy(int n, float a, const float *x, float *y)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * x[i] + y[i];
}

static bool ok(cudaError_t error)
{
    if (error != cudaSuccess) std::printf("CUDA error %d: %s\n", int(error), cudaGetErrorString(error));
    return error == cudaSuccess;
}

int main()
{
    const int n = 1 << 20;
    const size_t bytes = n * sizeof(float);
    float *host = new float[n], *x, *y;
    for (int i = 0; i < n; i++) host[i] = float(i % 1000);
    if (!ok(cudaMalloc(&x, bytes)) || !ok(cudaMalloc(&y, bytes))) return 1;
    if (!ok(cudaMemcpy(x, host, bytes, cudaMemcpyHostToDevice)) || !ok(cudaMemset(y, 0, bytes))) return 1;
    saxpy<<<(n + 255) / 256, 256>>>(n, 2.0f, x, y);
    if (!ok(cudaGetLastError()) || !ok(cudaMemcpy(host, y, bytes, cudaMemcpyDeviceToHost))) return 1;
    for (int i = 0; i < n; i++) {
        if (host[i] == 2.0f * float(i % 1000)) continue;
        std::printf("wrong at %d: %f\n", i, host[i]);
        return 1;
    }
    cudaDeviceProp device;
    if (!ok(cudaGetDeviceProperties(&device, 0))) return 1;
    std::printf("saxpy is right on %s, compute capability %d.%d\n", device.name, device.major, device.minor);
    return 0;
}
