// The best item of a stage of the cascade for every row of a batch.
//
// The item halves are laid out as on the processor: panels of 16 items, each with its hidden units
// one after another, so that neighboring threads read neighboring items. Hidden units come in
// pairs, filled up with zeros. Sums, activations and the output layer are the processor's
// operations one by one. Compile with --fmad=false, so that values have the processor's bits.

const size_t WIDTH = 16;

struct Single {
    typedef float Word;
    // Words of an item to a pair of units.
    static const size_t WORDS = 2;
    static __device__ float2 add(const float *words, const float2 *, size_t, float2 sums) {
        return make_float2(words[0] + sums.x, words[WIDTH] + sums.y);
    }
};

// Fixed point of 16 bits: a value is (stored - 2^15) times the scale of its unit.
struct Half {
    typedef unsigned Word;
    static const size_t WORDS = 1;
    // The number 2^23 + n has the bits of 2^23 with n in the lowest.
    static __device__ float steps(unsigned stored) {
        return __uint_as_float(__float_as_uint(8388608.0f) | stored) - (8388608.0f + 32768.0f);
    }
    static __device__ float2 add(const unsigned *words, const float2 *scales, size_t pair, float2 sums) {
        const float2 scale = scales[pair];
        return make_float2(fmaf(scale.x, steps(words[0] & 0xffff), sums.x),
                           fmaf(scale.y, steps(words[0] >> 16), sums.y));
    }
};

// Below it the exponential is no normal number.
const float LOWEST = -87.0f;

// exp(x) - 1 for LOWEST <= x <= 0: with exp(x) = 2^n (1 + p), p a Taylor polynomial of degree 6.
__device__ float exp_minus_one(float x) {
    // Adding 1.5 2^23 rounds to an integer, which then stands in the lowest bits.
    const float round = 12582912.0f;
    const float shifted = fmaf(x, 1.44269504088896340736f, round);
    const float r = fmaf(shifted - round, -0.693147180559945309417f, x);
    float p = 1.0f / 720.0f;
    p = fmaf(p, r, 1.0f / 120.0f);
    p = fmaf(p, r, 1.0f / 24.0f);
    p = fmaf(p, r, 1.0f / 6.0f);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r, 1.0f);
    const float scale = __uint_as_float((__float_as_uint(shifted) << 23) + __float_as_uint(1.0f));
    return fmaf(scale, p * r, scale - 1.0f);
}

struct Elu {
    static __device__ float of(float x) {
        const float negative = fminf(x, 0.0f);
        // Not max(x, 0), which would hide what is not a number.
        return (x - negative) + exp_minus_one(fmaxf(negative, LOWEST));
    }
};

struct Tanh {
    static __device__ float of(float x) {
        const float twice = -2.0f * fabsf(x);
        // A maximum would hide what is not a number.
        const float e = exp_minus_one(twice < LOWEST ? LOWEST : twice);
        return copysignf(-e / (e + 2.0f), x);
    }
};

struct Identity {
    static __device__ float of(float x) { return x; }
};

// Whether a sorted list has an item.
__device__ bool contains(const unsigned *list, size_t count, unsigned item) {
    size_t first = 0, last = count;
    while (first < last) {
        const size_t middle = (first + last) / 2;
        if (list[middle] < item) {
            first = middle + 1;
        } else {
            last = middle;
        }
    }
    return first < count && list[first] == item;
}

// Larger for a larger value, and among equal ones for a smaller item. 0 stands for no item.
__device__ unsigned long long key(float value, unsigned item) {
    // Minus zero becomes zero, which it equals.
    const unsigned bits = __float_as_uint(value + 0.0f);
    const unsigned ordered = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (unsigned long long)ordered << 32 | ~item;
}

// Raises found[row], zero before, to the key of the row's best item. The candidates of a row are only[only_starts[row] ..
// only_starts[row + 1]], or all items if only is null, save those on its slate [k] and those in without, sorted lists kept
// likewise. A block's row is blockIdx.x: blocks that read the same items run side by side.
template <class Storage, class Sigma>
__device__ void best(size_t items, size_t pairs, size_t k, const typename Storage::Word *halves, const float2 *scales,
                     const float2 *output, const float2 *sums, const unsigned *slates, const unsigned *only,
                     const size_t *only_starts, const unsigned *without, const size_t *without_starts,
                     unsigned long long *found) {
    const size_t row = blockIdx.x;
    sums += row * pairs;
    slates += row * k;
    const size_t begin = only ? only_starts[row] : 0, end = only ? only_starts[row + 1] : items;
    const size_t stride = (size_t)gridDim.y * blockDim.x;
    float largest = -__uint_as_float(0x7f800000);
    unsigned long long best = 0;
    for (size_t at = begin + (size_t)blockIdx.y * blockDim.x + threadIdx.x; at < end; at += stride) {
        const size_t item = only ? only[at] : at;
        const typename Storage::Word *words = halves + item / WIDTH * pairs * Storage::WORDS * WIDTH + item % WIDTH;
        float value = 0.0f;
        for (size_t pair = 0; pair < pairs; pair++) {
            const float2 hidden = Storage::add(words + pair * Storage::WORDS * WIDTH, scales, pair, sums[pair]);
            value = fmaf(output[pair].x, Sigma::of(hidden.x), value);
            value = fmaf(output[pair].y, Sigma::of(hidden.y), value);
        }
        // A thread meets items in the order of their ids. What is not a number never exceeds anything.
        bool better = value > largest;
        for (size_t place = 0; better && place < k; place++) {
            better = slates[place] != item;
        }
        if (better && without) {
            const size_t first = without_starts[row];
            better = !contains(without + first, without_starts[row + 1] - first, item);
        }
        if (better) {
            largest = value;
            best = key(value, item);
        }
    }
    for (int step = 16; step > 0; step /= 2) {
        best = max(best, __shfl_down_sync(~0u, best, step));
    }
    if (threadIdx.x % 32 == 0 && best) {
        atomicMax(found + row, best);
    }
}

#define BEST(STORAGE, SIGMA, SUFFIX)                                                                                   \
    extern "C" __global__ void best_##SUFFIX(                                                                          \
        size_t items, size_t pairs, size_t k, const STORAGE::Word *__restrict__ halves,                                \
        const float2 *__restrict__ scales, const float2 *__restrict__ output, const float2 *__restrict__ sums,         \
        const unsigned *__restrict__ slates, const unsigned *__restrict__ only,                                        \
        const size_t *__restrict__ only_starts, const unsigned *__restrict__ without,                                  \
        const size_t *__restrict__ without_starts, unsigned long long *found) {                                        \
        best<STORAGE, SIGMA>(items, pairs, k, halves, scales, output, sums, slates, only, only_starts, without,        \
                             without_starts, found);                                                                   \
    }

BEST(Single, Elu, single_elu)
BEST(Single, Tanh, single_tanh)
BEST(Single, Identity, single_identity)
BEST(Half, Elu, half_elu)
BEST(Half, Tanh, half_tanh)
BEST(Half, Identity, half_identity)

// Adds the words, four at a time, to sum: how long reading them takes.
extern "C" __global__ void checksum(size_t fours, const uint4 *__restrict__ words, unsigned *sum) {
    unsigned part = 0;
    for (size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x; at < fours; at += (size_t)gridDim.x * blockDim.x) {
        const uint4 four = words[at];
        part += four.x + four.y + four.z + four.w;
    }
    for (int step = 16; step > 0; step /= 2) {
        part += __shfl_down_sync(~0u, part, step);
    }
    if (threadIdx.x % 32 == 0) {
        atomicAdd(sum, part);
    }
}
