// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module is loaded and its device is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/cptdev.h>

#include "harness.h"

TEST(device_has_mode_0660)
{
	struct stat st;

	ASSERT_EQ(0, stat(CPTDEV_DEVICE, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 07777);
}

TEST(device_opens_and_closes)
{
	int fd = open(CPTDEV_DEVICE, O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, close(fd));
}

TEST(device_opens_more_than_once)
{
	int one = open(CPTDEV_DEVICE, O_RDWR), two = open(CPTDEV_DEVICE, O_RDWR);

	EXPECT_LE(0, one);
	EXPECT_LE(0, two);
	EXPECT_EQ(0, close(one));
	EXPECT_EQ(0, close(two));
}

TEST(unknown_ioctl_is_refused)
{
	int fd = open(CPTDEV_DEVICE, O_RDWR);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, ioctl(fd, _IO(CPTDEV_IOC_MAGIC, 0xff), NULL));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(-1, ioctl(fd, _IO(0x00, CPTDEV_NR_INFO), NULL));
	EXPECT_EQ(ENOTTY, errno);
	close(fd);
}

TEST_HARNESS_MAIN
