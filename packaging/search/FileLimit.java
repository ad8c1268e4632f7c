// SPDX-License-Identifier: GPL-3.0-or-later
package trivet.search;

import java.lang.reflect.Field;
import sun.misc.Unsafe;

/**
 * Makes the engine's figure of its open file limit "unknown", which its bootstrap check accepts.
 *
 * <p>The engine refuses to listen on an address other nodes can reach with fewer than 65,535 open files, and has no setting for
 * it. A laboratory inside a sandbox whose own hard limit is lower cannot raise it, root or not. The entry point of the package
 * loads this agent there and nowhere else.
 */
public final class FileLimit {
    private FileLimit() {}

    /** Runs before the engine; {@code probe} is the name of its class that knows the limit. */
    public static void premain(String probe) throws ReflectiveOperationException {
        Field access = Unsafe.class.getDeclaredField("theUnsafe");
        access.setAccessible(true);
        Unsafe unsafe = (Unsafe) access.get(null);
        Class<?> type;
        try {
            type = Class.forName(probe);
        } catch (ClassNotFoundException launcher) {
            // The launcher tries the engine's options on a JVM without the engine.
            return;
        }
        Field getter = type.getDeclaredField("getMaxFileDescriptorCountField");
        unsafe.putObject(unsafe.staticFieldBase(getter), unsafe.staticFieldOffset(getter), null);
    }
}
