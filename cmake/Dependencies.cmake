# The libraries Relay is linked with. yyjson and llhttp come from the system where it has them, else
# from build/deps, where scripts/setup.sh unpacked them (Debian 12). A static archive is preferred for
# these two.
set(RELAY_DEPS ${CMAKE_SOURCE_DIR}/build/deps)
list(APPEND CMAKE_PREFIX_PATH ${RELAY_DEPS}/usr)
if(APPLE)
    foreach(keg openssl@3 sqlite libpq)
        execute_process(COMMAND brew --prefix ${keg} OUTPUT_VARIABLE prefix
            OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
        list(APPEND CMAKE_PREFIX_PATH ${prefix})
    endforeach()
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.40)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq>=15)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis>=0.14)
find_library(RELAY_LIBM m)
if(NOT RELAY_LIBM)
    set(RELAY_LIBM "")
endif()

# relay_find(NAME HEADER LIBRARY): an imported target relay_dep_NAME.
function(relay_find name header)
    find_path(RELAY_${name}_INCLUDE ${header})
    find_library(RELAY_${name}_LIBRARY NAMES lib${name}.a ${name})
    if(NOT RELAY_${name}_INCLUDE OR NOT RELAY_${name}_LIBRARY)
        message(FATAL_ERROR "${name} not found: run scripts/setup.sh build")
    endif()
    add_library(relay_dep_${name} UNKNOWN IMPORTED)
    set_target_properties(relay_dep_${name} PROPERTIES
        IMPORTED_LOCATION ${RELAY_${name}_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${RELAY_${name}_INCLUDE})
    mark_as_advanced(RELAY_${name}_INCLUDE RELAY_${name}_LIBRARY)
endfunction()
relay_find(yyjson yyjson.h)
relay_find(llhttp llhttp.h)

# A shared yyjson out of build/deps is found there by programs run from the tree, and goes
# along with `make install`.
cmake_path(IS_PREFIX RELAY_DEPS "${RELAY_yyjson_LIBRARY}" RELAY_YYJSON_PRIVATE)
if(RELAY_YYJSON_PRIVATE AND RELAY_yyjson_LIBRARY MATCHES "\\.so")
    set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/relay")
    # A program that is relinked when it is installed keeps the room that the folder's path took.
    set(CMAKE_BUILD_WITH_INSTALL_RPATH ${RELAY_PACKAGE})
    cmake_path(GET RELAY_yyjson_LIBRARY PARENT_PATH directory)
    install(DIRECTORY ${directory}/ DESTINATION ${CMAKE_INSTALL_LIBDIR}/relay
        FILES_MATCHING PATTERN "libyyjson.so.*" PATTERN cmake EXCLUDE PATTERN pkgconfig EXCLUDE)
endif()
