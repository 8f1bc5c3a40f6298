// One time step of an LSTM layer, between its matrix products. A block takes rows, its threads the units of a row.
//
// Gates lie [rows, 4 hidden] in the order i, f, o, g, everything else [rows, hidden]. Where mask [rows] is 0 a row skips
// the step; a null mask skips none. Every entry of what a kernel returns is written.

template <typename T>
__device__ T sigmoid(T x) {
    return T(1) / (T(1) + exp(-x));
}

// The gates from what they are before their activation, c = f c_prev + i g and h = o tanh(c).
template <typename T>
__device__ void cell_forward(size_t rows, size_t hidden, const unsigned char *mask, const T *sums, const T *c_prev,
                             const T *h_prev, T *gates, T *c, T *h) {
    for (size_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const bool skipped = mask && !mask[row];
        for (size_t unit = threadIdx.x; unit < hidden; unit += blockDim.x) {
            const size_t at = row * hidden + unit;
            const T *sum = sums + row * 4 * hidden + unit;
            T *gate = gates + row * 4 * hidden + unit;
            if (skipped) {
                gate[0] = gate[hidden] = gate[2 * hidden] = gate[3 * hidden] = T(0);
                c[at] = c_prev[at];
                h[at] = h_prev[at];
                continue;
            }
            const T i = sigmoid(sum[0]);
            const T f = sigmoid(sum[hidden]);
            const T o = sigmoid(sum[2 * hidden]);
            const T g = tanh(sum[3 * hidden]);
            gate[0] = i;
            gate[hidden] = f;
            gate[2 * hidden] = o;
            gate[3 * hidden] = g;
            c[at] = f * c_prev[at] + i * g;
            h[at] = o * tanh(c[at]);
        }
    }
}

// From the gradients dc and dh of c and h: those of the sums and of c_prev, and the part of h_prev's that does not pass
// through the sums.
template <typename T>
__device__ void cell_backward(size_t rows, size_t hidden, const unsigned char *mask, const T *gates, const T *c_prev,
                              const T *c, const T *dc, const T *dh, T *dsums, T *dc_prev, T *dh_carry) {
    for (size_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const bool skipped = mask && !mask[row];
        for (size_t unit = threadIdx.x; unit < hidden; unit += blockDim.x) {
            const size_t at = row * hidden + unit;
            const T *gate = gates + row * 4 * hidden + unit;
            T *dsum = dsums + row * 4 * hidden + unit;
            if (skipped) {
                dsum[0] = dsum[hidden] = dsum[2 * hidden] = dsum[3 * hidden] = T(0);
                dc_prev[at] = dc[at];
                dh_carry[at] = dh[at];
                continue;
            }
            const T i = gate[0], f = gate[hidden], o = gate[2 * hidden], g = gate[3 * hidden];
            const T squashed = tanh(c[at]);
            const T into_c = dc[at] + dh[at] * o * (T(1) - squashed * squashed);
            dsum[0] = into_c * g * i * (T(1) - i);
            dsum[hidden] = into_c * c_prev[at] * f * (T(1) - f);
            dsum[2 * hidden] = dh[at] * squashed * o * (T(1) - o);
            dsum[3 * hidden] = into_c * i * (T(1) - g * g);
            dc_prev[at] = into_c * f;
            dh_carry[at] = T(0);
        }
    }
}

#define KERNELS(T, SUFFIX)                                                                                             \
    extern "C" __global__ void lstm_cell_forward_##SUFFIX(size_t rows, size_t hidden, const unsigned char *mask,       \
                                                          const T *sums, const T *c_prev, const T *h_prev, T *gates,   \
                                                          T *c, T *h) {                                                \
        cell_forward(rows, hidden, mask, sums, c_prev, h_prev, gates, c, h);                                           \
    }                                                                                                                  \
    extern "C" __global__ void lstm_cell_backward_##SUFFIX(size_t rows, size_t hidden, const unsigned char *mask,      \
                                                           const T *gates, const T *c_prev, const T *c, const T *dc,   \
                                                           const T *dh, T *dsums, T *dc_prev, T *dh_carry) {           \
        cell_backward(rows, hidden, mask, gates, c_prev, c, dc, dh, dsums, dc_prev, dh_carry);                         \
    }

KERNELS(float, f32)
KERNELS(double, f64)
