#include "runtime/cuda/dnn.h"

const char pl_dnn_h100[] =
    "{\"deviceName\": \"NVIDIA H100 80GB HBM3\", \"deviceVer\": 900, \"cudaDeviceId\": 0,"
    " \"pciDeviceId\": 0, \"isTccDriver\": 0, \"driverVer\": 13000, \"driverVersion\": 13000,"
    " \"cudaDriverVer\": 13000, \"totalGlobalMem\": 85017755648, \"l2CacheSize\": 52428800,"
    " \"smClockRateKHz\": 1980000, \"memClockRateKHz\": 2619000, \"multiProcessorCount\": 132,"
    " \"warpSize\": 32, \"maxGridSize\": [2147483647, 65535, 65535],"
    " \"maxBlockSize\": [1024, 1024, 64], \"maxThreadsPerBlock\": 1024, \"maxThreadsPerSM\": 2048,"
    " \"maxCtasPerSM\": 32, \"regsPerBlock\": 65536, \"maxRegistersPerSM\": 65536,"
    " \"maxSharedMemoryPerBlock\": 49152, \"maxSharedMemoryPerBlockOptin\": 232448,"
    " \"reservedSharedMemoryPerBlock\": 1024, \"supportCoopLaunch\": 1}";
