/* Patches hold the right pixels in the right order, in both layouts. */
#include "tests/support/test.h"

#include "learners/nn/patch_embed.h"

/* Pixel value that names its place. */
static float place(size_t channel, size_t y, size_t x)
{
    return (float)(channel * 10000 + y * 100 + x);
}

static void check_patches(size_t channels, int channels_last)
{
    const struct patch_dims d = {6, channels, 3, channels_last};
    float image[3 * 36], patches[3 * 36];
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < 36; i++)
            image[c * 36 + i] = place(c, i / 6, i % 6);
    assert_int_equal(patch_count(&d), 4);
    assert_int_equal(patch_length(&d), 9 * channels);
    patch_gather(&d, image, patches);
    for (size_t p = 0; p < 4; p++)
        for (size_t c = 0; c < channels; c++)
            for (size_t y = 0; y < 3; y++)
                for (size_t x = 0; x < 3; x++) {
                    const size_t k =
                        channels_last ? (y * 3 + x) * channels + c : (c * 3 + y) * 3 + x;
                    assert_near(patches[p * 9 * channels + k],
                                place(c, p / 2 * 3 + y, p % 2 * 3 + x), 0);
                }
}

void test_patch_gather_grey_and_colour(void **state)
{
    (void)state;
    check_patches(1, 0);
    check_patches(1, 1);
    check_patches(3, 0);
    check_patches(3, 1);
}
