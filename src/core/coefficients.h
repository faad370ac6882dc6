// Coefficients shared by the scalar functions (special.h) and the array kernels
// (simd_kernels.h). Numbers only: the kernels must not see any inline function from outside.
#ifndef MIXOLOGY_CORE_COEFFICIENTS_H
#define MIXOLOGY_CORE_COEFFICIENTS_H

namespace mixology {
namespace coefficients {

// log Gamma(2 + z) / z on |z| <= 1/2: Chebyshev interpolation, error 2e-17.
constexpr double kLgammaNearTwo[19] = {
    0.42278433509846713,     0.32246703342411326,   -0.0673523010531981,     0.02058080842778038,
    -0.0073855510286719986,  0.002890510331034267,  -0.0011927539118428156,  0.0005096695154115458,
    -0.00022315475400520507, 9.945767355819498e-05, -4.49263133791557e-05,   2.0505590755833454e-05,
    -9.438715099211532e-06,  4.38470440459836e-06,  -2.0439048107029907e-06, 9.200527894968101e-07,
    -4.3252393445604814e-07, 2.78740805211359e-07,  -1.3219945666117874e-07};

// Asymptotic series in u = 1 / x^2 (Abramowitz and Stegun 6.1.40, 6.3.18, 6.4.12), good to the
// last bit from x = 8:
//   lgamma(x)   = (x - 1/2) log x - x + log(2 pi) / 2 + q(u) / x,   B_2k / (2k (2k - 1))
//   digamma(x)  = log x - 1 / (2 x) - u q(u),                       B_2k / (2k)
//   trigamma(x) = 1 / x + u / 2 + u q(u) / x,                       B_2k
constexpr double kStirling[9] = {1.0 / 12.0,    -1.0 / 360.0,       1.0 / 1260.0,
                                 -1.0 / 1680.0, 1.0 / 1188.0,       -691.0 / 360360.0,
                                 1.0 / 156.0,   -3617.0 / 122400.0, 43867.0 / 244188.0};
constexpr double kDigamma[9] = {1.0 / 12.0,   -1.0 / 120.0,     1.0 / 252.0,
                                -1.0 / 240.0, 1.0 / 132.0,      -691.0 / 32760.0,
                                1.0 / 12.0,   -3617.0 / 8160.0, 43867.0 / 14364.0};
constexpr double kTrigamma[9] = {1.0 / 6.0,   -1.0 / 30.0,     1.0 / 42.0,
                                 -1.0 / 30.0, 5.0 / 66.0,      -691.0 / 2730.0,
                                 7.0 / 6.0,   -3617.0 / 510.0, 43867.0 / 798.0};

// (exp(r) - 1 - r - r^2 / 2) / r^3 on |r| <= log(2) / 2: Chebyshev, error 3e-17 in exp(r).
constexpr double kExp[9] = {0.16666666666666666,   0.04166666666665136,   0.008333333333332155,
                            0.0013888888905881542, 0.0001984126985433861, 2.4801536388690766e-05,
                            2.755728006701698e-06, 2.761380686153829e-07, 2.5095554677111112e-08};

// (2 atanh(s) / s - 2) / s^2 in s^2 for |s| <= (sqrt 2 - 1) / (sqrt 2 + 1): Chebyshev, error
// 2e-18 in the logarithm.
constexpr double kLog[7] = {0.666666666666667,   0.39999999999899444, 0.2857142862600327,
                            0.22222211130259878, 0.18182889455674947, 0.15331710618210773,
                            0.14616585424888623};

constexpr double kHalfLogTwoPi = 0.918938533204672741780;

}  // namespace coefficients
}  // namespace mixology

#endif
